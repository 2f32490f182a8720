# Ordinary Perl: regular expressions over a text, hashes, sorting, formatting.
use strict;
my ($work, $file) = @ARGV;
open(my $input, '<', $file) or die "$file: $!\n";
my ($lines, $bytes) = (0, 0);
my (%words, %endings, @numbers);
my $limit = $work * 200000;
while (my $line = <$input>) {
    last if ($bytes += length $line) > $limit;
    $lines++;
    $words{lc $_}++ for $line =~ /([A-Za-z_]{2,})/g;
    push @numbers, $1 while $line =~ /\b(\d+)\b/g;
    (my $plain = $line) =~ s/\s+/ /g;
    $plain =~ s/(["'])(.*?)\1/<$2>/g;
    $endings{substr $plain, -3}++;
    my $turned = join ' ', reverse split / /, $plain;
    $bytes += 0 * length $turned;
}
my @best = sort { $words{$b} <=> $words{$a} || $a cmp $b } keys %words;
my $sum = 0;
$sum = ($sum * 31 + length($_) + $words{$_}) % 1000003 for @best;
printf "%d lines, %d words, %d endings, %d numbers, sum %d\n", $lines, scalar @best,
    scalar keys %endings, scalar @numbers, $sum;
printf "%-12s %6d\n", $_, $words{$_} for @best[0 .. 9];
